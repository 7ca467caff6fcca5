resource "azurerm_log_analytics_workspace" "flixtube" {
  count = var.logs == null ? 0 : 1

  name                         = local.full_name
  location                     = azurerm_resource_group.flixtube.location
  resource_group_name          = azurerm_resource_group.flixtube.name
  sku                          = "PerGB2018"
  retention_in_days            = var.logs.retention_days
  daily_quota_gb               = var.logs.daily_quota_gb
  local_authentication_enabled = false
  tags                         = local.tags
}
