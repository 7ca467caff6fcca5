mock_provider "azurerm" {
  override_during = plan
  mock_resource "azurerm_container_registry" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube/providers/Microsoft.ContainerRegistry/registries/flixtube"
      login_server = "flixtube.azurecr.io"
    }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/flixtube/providers/Microsoft.ManagedIdentity/userAssignedIdentities/cluster"
      principal_id = "11111111-1111-1111-1111-111111111111"
      client_id    = "22222222-2222-2222-2222-222222222222"
    }
  }
}

variables {
  name = "flixtube"
}

run "the_cluster_may_pull_and_not_push" {
  command = plan
  assert {
    condition     = azurerm_role_assignment.pull.role_definition_name == "AcrPull"
    error_message = "The cluster must not be able to push images."
  }
  assert {
    condition     = azurerm_role_assignment.pull.scope == azurerm_container_registry.site.id
    error_message = "It may pull from this registry only."
  }
}

run "nobody_logs_in_with_a_password" {
  command = plan
  assert {
    condition     = azurerm_container_registry.site.admin_enabled == false
    error_message = "The registry's administrator has a password that never expires."
  }
}

run "a_name_that_azure_would_reject" {
  command = plan
  variables {
    name = "Flix-Tube"
  }
  expect_failures = [var.name]
}
