# The identities of .github/workflows/delivery.yml. GitHub proves by a token of the run which repository, and which
# environment or branch, it is; there is no password to keep.
locals {
  # By whom images are pushed: only by the environment that has the registry.
  publisher = var.github_repository != null && var.registry_id == null ? toset(["publish"]) : toset([])
  deployer  = var.github_repository != null ? toset(["deploy"]) : toset([])

  github_subject = {
    publish = "ref:refs/heads/main"
    deploy  = "environment:${var.environment}" # whose rules, approval among them, stand before it
  }
}

resource "azurerm_user_assigned_identity" "delivery" {
  for_each = setunion(local.publisher, local.deployer)

  name                = "${local.full_name}-${each.key}"
  location            = azurerm_resource_group.flixtube.location
  resource_group_name = azurerm_resource_group.flixtube.name
  tags                = local.tags
}

resource "azurerm_federated_identity_credential" "delivery" {
  for_each = azurerm_user_assigned_identity.delivery

  name                      = "github"
  user_assigned_identity_id = each.value.id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = "https://token.actions.githubusercontent.com"
  subject                   = "repo:${var.github_repository}:${local.github_subject[each.key]}"
}

resource "azurerm_role_assignment" "publisher_pushes" {
  for_each = local.publisher

  scope                = local.registry_id
  role_definition_name = "AcrPush"
  principal_id         = azurerm_user_assigned_identity.delivery[each.key].principal_id
  principal_type       = "ServicePrincipal"
}

# The other roles for the deployer end at the namespace of FlixTube. The signatures of images lie in the registry.
resource "azurerm_role_assignment" "deployer" {
  for_each = length(local.deployer) == 0 ? {} : {
    "AcrPull"                                     = local.registry_id
    "Azure Kubernetes Service Cluster User Role"  = azurerm_kubernetes_cluster.flixtube.id
    "Azure Kubernetes Service RBAC Cluster Admin" = "${azurerm_kubernetes_cluster.flixtube.id}/namespaces/${local.namespace}"
  }

  scope                = each.value
  role_definition_name = each.key
  principal_id         = azurerm_user_assigned_identity.delivery["deploy"].principal_id
  principal_type       = "ServicePrincipal"
}
