resource "azurerm_storage_account" "flixtube" {
  name                     = local.global_name
  location                 = azurerm_resource_group.flixtube.location
  resource_group_name      = azurerm_resource_group.flixtube.name
  account_tier             = "Standard"
  account_replication_type = var.storage_replication
  tags                     = local.tags

  # Nobody gets in but by Microsoft Entra, from the cluster's subnet.
  shared_access_key_enabled       = false
  local_user_enabled              = false
  allow_nested_items_to_be_public = false
  https_traffic_only_enabled      = true
  min_tls_version                 = "TLS1_2"
  network_rules {
    default_action             = "Deny"
    bypass                     = ["None"]
    virtual_network_subnet_ids = [azurerm_subnet.nodes.id]
  }

  blob_properties {
    delete_retention_policy {
      days = var.deleted_videos_days
    }
    container_delete_retention_policy {
      days = var.deleted_videos_days
    }
  }

  lifecycle {
    prevent_destroy = true # the videos are in it; docs/azure.md says how to give them up
  }
}

resource "azurerm_storage_container" "videos" {
  name                  = "videos"
  storage_account_id    = azurerm_storage_account.flixtube.id
  container_access_type = "private"
}

# video-storage's pods become this identity, through the token of their service account.
resource "azurerm_user_assigned_identity" "video_storage" {
  name                = "${local.full_name}-video-storage"
  location            = azurerm_resource_group.flixtube.location
  resource_group_name = azurerm_resource_group.flixtube.name
  tags                = local.tags
}

resource "azurerm_federated_identity_credential" "video_storage" {
  name                      = "video-storage"
  user_assigned_identity_id = azurerm_user_assigned_identity.video_storage.id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = azurerm_kubernetes_cluster.flixtube.oidc_issuer_url
  subject                   = "system:serviceaccount:${local.namespace}:${local.storage_service_account}"
}

# "Storage Blob Data Contributor" could also delete the container and sign addresses for others.
resource "azurerm_role_definition" "video_storage" {
  name        = "${local.full_name} video-storage"
  description = "Look at a container; read, list, write and delete the blobs in it."
  scope       = azurerm_resource_group.flixtube.id

  permissions {
    actions = ["Microsoft.Storage/storageAccounts/blobServices/containers/read"]
    data_actions = [
      "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
      "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
      "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete",
    ]
  }
}

resource "azurerm_role_assignment" "video_storage" {
  scope              = azurerm_storage_container.videos.id
  role_definition_id = azurerm_role_definition.video_storage.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.video_storage.principal_id
  principal_type     = "ServicePrincipal"
}
