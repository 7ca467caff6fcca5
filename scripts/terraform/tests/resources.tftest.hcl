# Plans against a provider that asks nobody: what is in them is checked here, and what Azure says to it is not.

mock_provider "azurerm" {
  override_during = plan

  mock_resource "azurerm_resource_group" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging" }
  }
  mock_resource "azurerm_container_registry" {
    defaults = {
      id             = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.ContainerRegistry/registries/flixtubestagingab1"
      login_server   = "flixtubestagingab1.azurecr.io"
      admin_username = "flixtubestagingab1"
      admin_password = "a password"
    }
  }
  mock_resource "azurerm_kubernetes_cluster" {
    defaults = {
      id              = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.ContainerService/managedClusters/flixtube-staging"
      oidc_issuer_url = "https://issuer.example.com/"
    }
  }
  mock_resource "azurerm_virtual_network" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.Network/virtualNetworks/flixtube-staging" }
  }
  mock_resource "azurerm_subnet" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.Network/virtualNetworks/flixtube-staging/subnets/nodes" }
  }
  mock_resource "azurerm_storage_account" {
    defaults = {
      id                    = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.Storage/storageAccounts/flixtubestagingab1"
      primary_blob_endpoint = "https://flixtubestagingab1.blob.core.windows.net/"
    }
  }
  mock_resource "azurerm_storage_container" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.Storage/storageAccounts/flixtubestagingab1/blobServices/default/containers/videos" }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.ManagedIdentity/userAssignedIdentities/any"
      client_id    = "22222222-2222-2222-2222-222222222222"
      principal_id = "33333333-3333-3333-3333-333333333333"
    }
  }
  override_resource {
    target = azurerm_user_assigned_identity.kubelet
    values = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kubelet"
      client_id    = "66666666-6666-6666-6666-666666666666"
      principal_id = "11111111-1111-1111-1111-111111111111"
    }
  }
  mock_resource "azurerm_role_definition" {
    defaults = { role_definition_resource_id = "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization/roleDefinitions/44444444-4444-4444-4444-444444444444" }
  }
  mock_resource "azurerm_log_analytics_workspace" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.OperationalInsights/workspaces/flixtube-staging" }
  }
}

variables {
  environment            = "staging"
  unique_suffix          = "ab1"
  location               = "westeurope"
  authorized_ip_ranges   = ["203.0.113.7/32"]
  admin_group_object_ids = ["55555555-5555-5555-5555-555555555555"]
}

run "names" {
  command = plan

  assert {
    condition     = azurerm_resource_group.flixtube.name == "flixtube-staging" && output.resource_group == "flixtube-staging"
    error_message = "The resource group is called ${azurerm_resource_group.flixtube.name}."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.flixtube.name == "flixtube-staging" && output.cluster == "flixtube-staging"
    error_message = "The cluster is called ${azurerm_kubernetes_cluster.flixtube.name}."
  }
  assert {
    condition     = azurerm_container_registry.flixtube[0].name == "flixtubestagingab1"
    error_message = "The registry is called ${azurerm_container_registry.flixtube[0].name}."
  }
  assert {
    condition     = azurerm_storage_account.flixtube.name == "flixtubestagingab1" && output.storage_account == "flixtubestagingab1"
    error_message = "The storage account is called ${azurerm_storage_account.flixtube.name}."
  }
  assert {
    condition     = azurerm_storage_container.videos.name == "videos"
    error_message = "video-storage keeps its blobs in the container videos, not in ${azurerm_storage_container.videos.name}."
  }
  assert {
    condition     = output.registry_hostname == "flixtubestagingab1.azurecr.io"
    error_message = "registry_hostname is ${output.registry_hostname}."
  }
}

run "the_longest_names" {
  command = plan
  variables {
    app_name      = "flixtube"
    environment   = "production"
    unique_suffix = "abcdef"
  }

  assert {
    condition     = length(azurerm_storage_account.flixtube.name) == 24
    error_message = "A storage account's name may have 24 characters; this has ${length(azurerm_storage_account.flixtube.name)}."
  }
}

run "tags" {
  command = plan
  variables {
    tags              = { owner = "somebody" }
    logs              = { retention_days = 30, daily_quota_gb = 1 }
    github_repository = "owner/flixtube"
  }

  assert {
    condition = alltrue([
      for tags in concat(
        [
          azurerm_resource_group.flixtube.tags, azurerm_virtual_network.flixtube.tags, azurerm_container_registry.flixtube[0].tags,
          azurerm_kubernetes_cluster.flixtube.tags, azurerm_kubernetes_cluster.flixtube.default_node_pool[0].tags,
          azurerm_kubernetes_cluster_node_pool.user.tags, azurerm_storage_account.flixtube.tags,
          azurerm_user_assigned_identity.cluster.tags, azurerm_user_assigned_identity.kubelet.tags, azurerm_user_assigned_identity.video_storage.tags,
          azurerm_log_analytics_workspace.flixtube[0].tags,
        ],
        [for identity in azurerm_user_assigned_identity.delivery : identity.tags],
      ) : tags == tomap({ application = "flixtube", environment = "staging", managed-by = "terraform", owner = "somebody" })
    ])
    error_message = "A resource that can have tags lacks some."
  }
}

run "the_cluster" {
  command = plan

  assert {
    condition = (
      azurerm_kubernetes_cluster.flixtube.local_account_disabled
      && azurerm_kubernetes_cluster.flixtube.oidc_issuer_enabled
      && azurerm_kubernetes_cluster.flixtube.workload_identity_enabled
      && !azurerm_kubernetes_cluster.flixtube.run_command_enabled
      && azurerm_kubernetes_cluster.flixtube.azure_active_directory_role_based_access_control[0].azure_rbac_enabled
    )
    error_message = "The cluster can be entered in a way that it should not."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.flixtube.api_server_access_profile[0].authorized_ip_ranges == toset(["203.0.113.7/32"])
    error_message = "The API server answers others than the authorized ranges."
  }
  assert {
    condition = (
      azurerm_kubernetes_cluster.flixtube.automatic_upgrade_channel == "patch"
      && azurerm_kubernetes_cluster.flixtube.node_os_upgrade_channel == "NodeImage"
    )
    error_message = "The cluster or its machines do not upgrade themselves."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.flixtube.network_profile[0].network_policy == "cilium"
    error_message = "NetworkPolicies are not enforced."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.flixtube.network_profile[0].pod_cidr == "10.244.0.0/16"
    error_message = "overlays/azure trusts another network than that of the pods."
  }
  assert {
    condition = (
      azurerm_kubernetes_cluster_node_pool.user.mode == "User"
      && azurerm_kubernetes_cluster_node_pool.user.auto_scaling_enabled
      && azurerm_kubernetes_cluster_node_pool.user.min_count == 3
      && azurerm_kubernetes_cluster_node_pool.user.max_count == 6
    )
    error_message = "The user node pool does not scale from 3 to 6."
  }
  assert {
    condition = (
      azurerm_role_assignment.cluster_pulls.role_definition_name == "AcrPull"
      && azurerm_role_assignment.cluster_pulls.principal_id == "11111111-1111-1111-1111-111111111111"
      && azurerm_kubernetes_cluster.flixtube.kubelet_identity[0].object_id == "11111111-1111-1111-1111-111111111111"
      && azurerm_role_assignment.cluster_pulls.scope == output.registry_id
    )
    error_message = "The kubelet's identity cannot pull from the registry."
  }
  assert {
    condition     = length(azurerm_kubernetes_cluster.flixtube.oms_agent) == 0 && length(azurerm_log_analytics_workspace.flixtube) == 0
    error_message = "Logs are kept, and paid for, that nobody asked for."
  }
}

run "logs" {
  command = plan
  variables {
    logs = { retention_days = 30, daily_quota_gb = 0.5 }
  }

  assert {
    condition     = azurerm_kubernetes_cluster.flixtube.oms_agent[0].log_analytics_workspace_id == azurerm_log_analytics_workspace.flixtube[0].id
    error_message = "The cluster does not send its logs to the workspace."
  }
  assert {
    condition     = azurerm_log_analytics_workspace.flixtube[0].daily_quota_gb == 0.5
    error_message = "The quota of the logs is not the one asked for."
  }
}

run "the_videos_are_not_public" {
  command = plan

  assert {
    condition = (
      azurerm_storage_container.videos.container_access_type == "private"
      && !azurerm_storage_account.flixtube.allow_nested_items_to_be_public
    )
    error_message = "Blobs can be made public."
  }
  assert {
    condition = (
      !azurerm_storage_account.flixtube.shared_access_key_enabled
      && !azurerm_storage_account.flixtube.local_user_enabled
      && azurerm_storage_account.flixtube.https_traffic_only_enabled
      && azurerm_storage_account.flixtube.min_tls_version == "TLS1_2"
    )
    error_message = "The storage account can be entered with a key, by a local user, or unencrypted."
  }
  assert {
    condition = (
      azurerm_storage_account.flixtube.network_rules[0].default_action == "Deny"
      && azurerm_storage_account.flixtube.network_rules[0].virtual_network_subnet_ids == toset([azurerm_subnet.nodes.id])
      && contains([for endpoint in azurerm_subnet.nodes.service_endpoint : endpoint.service], "Microsoft.Storage")
    )
    error_message = "The storage account answers others than the subnet of the cluster, or not even that."
  }
}

run "video_storage_may_only_handle_blobs" {
  command = plan

  assert {
    condition     = azurerm_role_assignment.video_storage.scope == azurerm_storage_container.videos.id
    error_message = "video-storage's rights do not end at the container videos."
  }
  assert {
    condition = (
      toset(azurerm_role_definition.video_storage.permissions[0].actions)
      == toset(["Microsoft.Storage/storageAccounts/blobServices/containers/read"])
      && toset([for action in azurerm_role_definition.video_storage.permissions[0].data_actions : basename(action)]) == toset(["read", "write", "delete"])
      && alltrue([
        for action in azurerm_role_definition.video_storage.permissions[0].data_actions :
        startswith(action, "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/")
      ])
    )
    error_message = "video-storage may do more, or less, than look at the container and read, write and delete blobs."
  }
  assert {
    condition = (
      azurerm_federated_identity_credential.video_storage.subject == "system:serviceaccount:flixtube:video-storage"
      && azurerm_federated_identity_credential.video_storage.issuer == "https://issuer.example.com/"
      && azurerm_federated_identity_credential.video_storage.audience == tolist(["api://AzureADTokenExchange"])
    )
    error_message = "The service account video-storage of this cluster does not become the identity, or another does."
  }
}

run "no_password_unless_asked_for" {
  command = plan

  assert {
    condition     = !azurerm_container_registry.flixtube[0].admin_enabled
    error_message = "The registry has an admin user."
  }
  assert {
    condition     = output.registry_username == null && output.registry_password == null
    error_message = "The registry's password is put out although there is none."
  }
}

run "a_password_is_sensitive" {
  command = plan
  variables {
    registry_admin_enabled = true
  }

  assert {
    condition     = azurerm_container_registry.flixtube[0].admin_enabled
    error_message = "The registry has no admin user."
  }
  assert {
    condition     = nonsensitive(output.registry_username) == "flixtubestagingab1" && nonsensitive(output.registry_password) == "a password"
    error_message = "The user and the password of the registry are not put out."
  }
  assert {
    condition     = issensitive(output.registry_username) && issensitive(output.registry_password)
    error_message = "The user or the password of the registry is not marked as sensitive."
  }
}

run "the_registry_of_another_environment" {
  command = plan
  variables {
    environment       = "production"
    registry_id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube-staging/providers/Microsoft.ContainerRegistry/registries/flixtubeStagingAb1"
    github_repository = "owner/flixtube"
  }

  assert {
    condition     = length(azurerm_container_registry.flixtube) == 0 && azurerm_role_assignment.cluster_pulls.scope == var.registry_id
    error_message = "A second registry is made, or the cluster does not pull from the first."
  }
  assert {
    condition     = output.registry_hostname == "flixtubestagingab1.azurecr.io"
    error_message = "registry_hostname is ${output.registry_hostname}."
  }
  assert {
    condition     = toset(keys(azurerm_user_assigned_identity.delivery)) == toset(["deploy"]) && output.publish_client_id == null
    error_message = "Production, too, may push images."
  }
}

run "nobody_delivers_unless_asked_for" {
  command = plan

  assert {
    condition     = length(azurerm_user_assigned_identity.delivery) == 0 && length(azurerm_role_assignment.deployer) == 0
    error_message = "There are identities for a workflow although there is no repository."
  }
}

run "the_workflow_delivers" {
  command = plan
  variables {
    github_repository = "owner/flixtube"
  }

  assert {
    condition = { for key, credential in azurerm_federated_identity_credential.delivery : key => credential.subject } == {
      deploy  = "repo:owner/flixtube:environment:staging"
      publish = "repo:owner/flixtube:ref:refs/heads/main"
    }
    error_message = "Other runs than those of main and of this environment are believed."
  }
  assert {
    condition = (
      azurerm_role_assignment.publisher_pushes["publish"].role_definition_name == "AcrPush"
      && azurerm_role_assignment.publisher_pushes["publish"].scope == output.registry_id
    )
    error_message = "The publisher cannot push, or elsewhere too."
  }
  assert {
    condition = (
      azurerm_role_assignment.deployer["Azure Kubernetes Service RBAC Cluster Admin"].scope
      == "${azurerm_kubernetes_cluster.flixtube.id}/namespaces/flixtube"
    )
    error_message = "The deployer's rights do not end at the namespace."
  }
}
