resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${local.full_name}-cluster"
  location            = azurerm_resource_group.flixtube.location
  resource_group_name = azurerm_resource_group.flixtube.name
  tags                = local.tags
}

# To put machines and load balancers into the subnet.
resource "azurerm_role_assignment" "cluster_uses_subnet" {
  scope                = azurerm_subnet.nodes.id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
  principal_type       = "ServicePrincipal"
}

# The machines' own identity, which pulls the images. Made before the cluster, so that its first pods can be pulled already.
resource "azurerm_user_assigned_identity" "kubelet" {
  name                = "${local.full_name}-kubelet"
  location            = azurerm_resource_group.flixtube.location
  resource_group_name = azurerm_resource_group.flixtube.name
  tags                = local.tags
}

# To give it to the machines.
resource "azurerm_role_assignment" "cluster_uses_kubelet" {
  scope                = azurerm_user_assigned_identity.kubelet.id
  role_definition_name = "Managed Identity Operator"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_kubernetes_cluster" "flixtube" {
  name                = local.full_name
  location            = azurerm_resource_group.flixtube.location
  resource_group_name = azurerm_resource_group.flixtube.name
  dns_prefix          = local.full_name
  sku_tier            = var.cluster_tier
  tags                = local.tags
  depends_on          = [azurerm_role_assignment.cluster_uses_subnet, azurerm_role_assignment.cluster_uses_kubelet]

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }
  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.kubelet.client_id
    object_id                 = azurerm_user_assigned_identity.kubelet.principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.kubelet.id
  }

  # Who may do what: people and the workflow log in with Microsoft Entra, pods get tokens from the issuer.
  local_account_disabled    = true
  oidc_issuer_enabled       = true
  workload_identity_enabled = true
  run_command_enabled       = false # it would lead around the authorized ranges
  azure_active_directory_role_based_access_control {
    azure_rbac_enabled     = true
    admin_group_object_ids = var.admin_group_object_ids
  }
  api_server_access_profile {
    authorized_ip_ranges = var.authorized_ip_ranges
  }

  # Upgrades come by themselves, on Sunday and on Wednesday night.
  kubernetes_version           = var.kubernetes_version
  automatic_upgrade_channel    = var.upgrade_channel
  node_os_upgrade_channel      = "NodeImage"
  image_cleaner_enabled        = true
  image_cleaner_interval_hours = 168
  maintenance_window_auto_upgrade {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Sunday"
    start_time  = "02:00"
    utc_offset  = "+00:00"
    duration    = 4
  }
  maintenance_window_node_os {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Wednesday"
    start_time  = "02:00"
    utc_offset  = "+00:00"
    duration    = 4
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    pod_cidr            = "10.244.0.0/16" # overlays/azure trusts it as the network of the ingress
    network_data_plane  = "cilium"
    network_policy      = "cilium" # without one, NetworkPolicies are accepted and do nothing
    load_balancer_sku   = "standard"
  }

  default_node_pool {
    name                         = "system"
    temporary_name_for_rotation  = "systemtmp"
    only_critical_addons_enabled = true # FlixTube's pods go to the other pool
    vm_size                      = var.system_node_size
    os_sku                       = "AzureLinux"
    auto_scaling_enabled         = true
    min_count                    = 2
    max_count                    = 3
    zones                        = var.zones
    vnet_subnet_id               = azurerm_subnet.nodes.id
    tags                         = local.tags
    upgrade_settings {
      max_surge = "1"
    }
  }

  # The pools are those below; the cluster invents none.
  node_provisioning_profile {
    mode = "Manual"
  }

  dynamic "oms_agent" {
    for_each = azurerm_log_analytics_workspace.flixtube
    content {
      log_analytics_workspace_id      = oms_agent.value.id
      msi_auth_for_monitoring_enabled = true
    }
  }
}

resource "azurerm_kubernetes_cluster_node_pool" "user" {
  name                        = "user"
  temporary_name_for_rotation = "usertmp"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.flixtube.id
  mode                        = "User"
  vm_size                     = var.user_node_size
  os_sku                      = "AzureLinux"
  auto_scaling_enabled        = true
  min_count                   = var.user_node_count.min
  max_count                   = var.user_node_count.max
  zones                       = var.zones
  vnet_subnet_id              = azurerm_subnet.nodes.id
  tags                        = local.tags

  upgrade_settings {
    max_surge = "1"
  }
}
