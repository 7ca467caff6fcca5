terraform {
  required_version = ">= 1.11" # the tests set computed values of a plan

  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
      # Written for version 5. A provider that is built from its source calls itself 4.99.0, and no release of 4 does.
      version = ">= 4.99.0, < 6.0.0"
    }
  }

  # The state lies in a storage account of its own; docs/azure.md says how to make it. Its name and the key of this
  # environment come from a file: terraform init -backend-config=staging.backend.hcl
  backend "azurerm" {
    container_name   = "tfstate"
    use_azuread_auth = true # the account has no keys
  }
}

provider "azurerm" {
  # Registered once by hand (docs/azure.md), so that Terraform needs no rights on the whole subscription.
  resource_provider_registrations = "none"
  storage_use_azuread             = true # the account of the videos has no keys

  features {
    resource_group {
      prevent_deletion_if_contains_resources = true # "terraform destroy" removes what it made, and nothing else
    }
    storage {
      data_plane_available = false # the account of the videos is closed to the machine that runs Terraform
    }
  }
}
