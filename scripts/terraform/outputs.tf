output "resource_group" {
  value = azurerm_resource_group.flixtube.name
}

output "cluster" {
  value = azurerm_kubernetes_cluster.flixtube.name
}

output "registry_id" {
  description = "For the variable registry_id of another environment."
  value       = local.registry_id
}

output "registry_hostname" {
  value = local.registry_hostname
}

output "registry_username" {
  description = "Null unless registry_admin_enabled."
  value       = var.registry_admin_enabled ? one(azurerm_container_registry.flixtube[*].admin_username) : null
  sensitive   = true
}

output "registry_password" {
  description = "Null unless registry_admin_enabled."
  value       = var.registry_admin_enabled ? one(azurerm_container_registry.flixtube[*].admin_password) : null
  sensitive   = true
}

output "storage_account" {
  description = "For STORAGE_ACCOUNT_NAME of video-storage."
  value       = azurerm_storage_account.flixtube.name
}

output "storage_endpoint" {
  description = "For STORAGE_ENDPOINT of video-storage."
  value       = azurerm_storage_account.flixtube.primary_blob_endpoint
}

output "storage_client_id" {
  description = "Of the identity that video-storage's service account names."
  value       = azurerm_user_assigned_identity.video_storage.client_id
}

output "publish_client_id" {
  description = "For the repository's variable AZURE_PUBLISH_CLIENT_ID. Null without github_repository, or with another's registry."
  value       = one([for key in local.publisher : azurerm_user_assigned_identity.delivery[key].client_id])
}

output "deploy_client_id" {
  description = "For the environment's variable AZURE_CLIENT_ID. Null without github_repository."
  value       = one([for key in local.deployer : azurerm_user_assigned_identity.delivery[key].client_id])
}
