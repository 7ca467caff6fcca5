terraform {
  required_version = ">= 1.11"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.99.0, < 6.0.0"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "name" {
  description = "Of the registry too, so it must be unique in the world."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]{5,50}$", var.name))
    error_message = "name must be 5 to 50 of a-z and 0-9."
  }
}

variable "location" {
  type    = string
  default = "koreacentral"
}

resource "azurerm_resource_group" "site" {
  name     = var.name
  location = var.location
}

resource "azurerm_container_registry" "site" {
  name                = var.name
  resource_group_name = azurerm_resource_group.site.name
  location            = azurerm_resource_group.site.location
  sku                 = "Basic"
  admin_enabled       = false # the administrator would have a password
}

# The cluster is somebody whom one can give rights to, and has no password.
resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${var.name}-cluster"
  resource_group_name = azurerm_resource_group.site.name
  location            = azurerm_resource_group.site.location
}

resource "azurerm_role_assignment" "pull" {
  scope                = azurerm_container_registry.site.id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

# To give it to its nodes, which pull the images.
resource "azurerm_role_assignment" "nodes" {
  scope                = azurerm_user_assigned_identity.cluster.id
  role_definition_name = "Managed Identity Operator"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

resource "azurerm_kubernetes_cluster" "site" {
  name                = var.name
  resource_group_name = azurerm_resource_group.site.name
  location            = azurerm_resource_group.site.location
  dns_prefix          = var.name

  default_node_pool {
    name       = "default"
    node_count = 1
    vm_size    = "Standard_B2s"
  }

  node_provisioning_profile {
    mode = "Manual" # no machines but these
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }
  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.cluster.client_id
    object_id                 = azurerm_user_assigned_identity.cluster.principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.cluster.id
  }
  depends_on = [azurerm_role_assignment.nodes]
}

output "registry" {
  value = azurerm_container_registry.site.login_server
}
