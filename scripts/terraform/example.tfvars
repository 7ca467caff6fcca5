# One environment: terraform plan -var-file=staging.tfvars. variables.tf has the others and their defaults.
environment            = "staging"
location               = "westeurope"
unique_suffix          = "ab1"                                    # something of your own
authorized_ip_ranges   = ["203.0.113.7/32"]                       # yours, and the runner's that deploys
admin_group_object_ids = ["00000000-0000-0000-0000-000000000000"] # az ad group show --group NAME --query id

# For production.
# cluster_tier      = "Standard"
# registry_id       = "/subscriptions/…" # the output of staging
# registry_sku      = "Standard"
# logs              = { retention_days = 30, daily_quota_gb = 1 }
# github_repository = "owner/flixtube"
