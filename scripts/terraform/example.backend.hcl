# Where the state of one environment lies: terraform init -backend-config=staging.backend.hcl
resource_group_name  = "flixtube-state"
storage_account_name = "NAME"
key                  = "staging.tfstate"
