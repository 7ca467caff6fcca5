locals {
  full_name   = "${var.app_name}-${var.environment}"
  global_name = "${var.app_name}${var.environment}${var.unique_suffix}" # 24 characters at most, as a storage account wants

  # What deploy/kubernetes calls them.
  namespace               = "flixtube"
  storage_service_account = "video-storage"

  tags = merge(var.tags, {
    application = var.app_name
    environment = var.environment
    managed-by  = "terraform"
  })
}

resource "azurerm_resource_group" "flixtube" {
  name     = local.full_name
  location = var.location
  tags     = local.tags
}
