# One registry serves all environments, so that production runs the very images that were tested in staging.
resource "azurerm_container_registry" "flixtube" {
  count = var.registry_id == null ? 1 : 0

  name                = local.global_name
  resource_group_name = azurerm_resource_group.flixtube.name
  location            = azurerm_resource_group.flixtube.location
  sku                 = var.registry_sku
  admin_enabled       = var.registry_admin_enabled
  tags                = local.tags
}

locals {
  registry_id       = var.registry_id == null ? azurerm_container_registry.flixtube[0].id : var.registry_id
  registry_hostname = var.registry_id == null ? azurerm_container_registry.flixtube[0].login_server : "${lower(basename(var.registry_id))}.azurecr.io"
}

resource "azurerm_role_assignment" "cluster_pulls" {
  scope                = local.registry_id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.kubelet.principal_id
  principal_type       = "ServicePrincipal"
}
