# Each run has one wrong value, and the variable must say so. What is right is in resources.tftest.hcl.

mock_provider "azurerm" {}

variables {
  environment            = "staging"
  unique_suffix          = "ab1"
  location               = "westeurope"
  authorized_ip_ranges   = ["203.0.113.7/32"]
  admin_group_object_ids = ["55555555-5555-5555-5555-555555555555"]
}

run "app_name_upper_case" {
  command = plan
  variables {
    app_name = "Flix"
  }
  expect_failures = [var.app_name]
}

run "app_name_too_long" {
  command = plan
  variables {
    app_name = "flixtubes"
  }
  expect_failures = [var.app_name]
}

run "app_name_begins_with_a_digit" {
  command = plan
  variables {
    app_name = "1flix"
  }
  expect_failures = [var.app_name]
}

run "environment_hyphen" {
  command = plan
  variables {
    environment = "prod-eu"
  }
  expect_failures = [var.environment]
}

run "environment_too_long" {
  command = plan
  variables {
    environment = "preproduction"
  }
  expect_failures = [var.environment]
}

run "unique_suffix_upper_case" {
  command = plan
  variables {
    unique_suffix = "AB1"
  }
  expect_failures = [var.unique_suffix]
}

run "unique_suffix_too_short" {
  command = plan
  variables {
    unique_suffix = "ab"
  }
  expect_failures = [var.unique_suffix]
}

run "location_display_name" {
  command = plan
  variables {
    location = "West Europe"
  }
  expect_failures = [var.location]
}

run "tags_set_already" {
  command = plan
  variables {
    tags = { environment = "other" }
  }
  expect_failures = [var.tags]
}

run "tags_character" {
  command = plan
  variables {
    tags = { "a<b" = "x" }
  }
  expect_failures = [var.tags]
}

run "registry_id_hostname" {
  command = plan
  variables {
    registry_id = "flixtube.azurecr.io"
  }
  expect_failures = [var.registry_id]
}

run "registry_sku_case" {
  command = plan
  variables {
    registry_sku = "basic"
  }
  expect_failures = [var.registry_sku]
}

run "kubernetes_version_patch" {
  command = plan
  variables {
    kubernetes_version = "1.33.2"
  }
  expect_failures = [var.kubernetes_version]
}

run "upgrade_channel_never" {
  command = plan
  variables {
    upgrade_channel = "none"
  }
  expect_failures = [var.upgrade_channel]
}

run "cluster_tier_old_name" {
  command = plan
  variables {
    cluster_tier = "Paid"
  }
  expect_failures = [var.cluster_tier]
}

run "authorized_ip_ranges_empty" {
  command = plan
  variables {
    authorized_ip_ranges = []
  }
  expect_failures = [var.authorized_ip_ranges]
}

run "authorized_ip_ranges_everybody" {
  command = plan
  variables {
    authorized_ip_ranges = ["0.0.0.0/0"]
  }
  expect_failures = [var.authorized_ip_ranges]
}

run "authorized_ip_ranges_no_prefix" {
  command = plan
  variables {
    authorized_ip_ranges = ["203.0.113.7"]
  }
  expect_failures = [var.authorized_ip_ranges]
}

run "authorized_ip_ranges_ipv6" {
  command = plan
  variables {
    authorized_ip_ranges = ["2001:db8::/32"]
  }
  expect_failures = [var.authorized_ip_ranges]
}

run "admin_group_object_ids_empty" {
  command = plan
  variables {
    admin_group_object_ids = []
  }
  expect_failures = [var.admin_group_object_ids]
}

run "admin_group_object_ids_name" {
  command = plan
  variables {
    admin_group_object_ids = ["administrators"]
  }
  expect_failures = [var.admin_group_object_ids]
}

run "system_node_size_prefix" {
  command = plan
  variables {
    system_node_size = "D2s_v5"
  }
  expect_failures = [var.system_node_size]
}

run "user_node_size_space" {
  command = plan
  variables {
    user_node_size = "Standard D4s v5"
  }
  expect_failures = [var.user_node_size]
}

run "user_node_count_min_above_max" {
  command = plan
  variables {
    user_node_count = { min = 4, max = 3 }
  }
  expect_failures = [var.user_node_count]
}

run "user_node_count_none" {
  command = plan
  variables {
    user_node_count = { min = 0, max = 3 }
  }
  expect_failures = [var.user_node_count]
}

run "user_node_count_fraction" {
  command = plan
  variables {
    user_node_count = { min = 1.5, max = 3 }
  }
  expect_failures = [var.user_node_count]
}

run "zones_no_such_zone" {
  command = plan
  variables {
    zones = ["4"]
  }
  expect_failures = [var.zones]
}

run "network_range_small" {
  command = plan
  variables {
    network_range = "10.240.0.0/28"
  }
  expect_failures = [var.network_range]
}

run "network_range_in_the_pods" {
  command = plan
  variables {
    network_range = "10.244.8.0/22"
  }
  expect_failures = [var.network_range]
}

run "network_range_around_the_pods" {
  command = plan
  variables {
    network_range = "10.0.0.0/8"
  }
  expect_failures = [var.network_range]
}

run "network_range_no_prefix" {
  command = plan
  variables {
    network_range = "10.240.0.0"
  }
  expect_failures = [var.network_range]
}

run "storage_replication_second_region" {
  command = plan
  variables {
    storage_replication = "RAGRS"
  }
  expect_failures = [var.storage_replication]
}

run "deleted_videos_days_zero" {
  command = plan
  variables {
    deleted_videos_days = 0
  }
  expect_failures = [var.deleted_videos_days]
}

run "deleted_videos_days_fraction" {
  command = plan
  variables {
    deleted_videos_days = 1.5
  }
  expect_failures = [var.deleted_videos_days]
}

run "logs_short" {
  command = plan
  variables {
    logs = { retention_days = 7, daily_quota_gb = 1 }
  }
  expect_failures = [var.logs]
}

run "logs_unlimited" {
  command = plan
  variables {
    logs = { retention_days = 30, daily_quota_gb = -1 }
  }
  expect_failures = [var.logs]
}

run "github_repository_no_owner" {
  command = plan
  variables {
    github_repository = "flixtube"
  }
  expect_failures = [var.github_repository]
}

run "registry_admin_enabled_in_anothers_registry" {
  command = plan
  variables {
    registry_id            = "/subscriptions/0/resourceGroups/any/providers/Microsoft.ContainerRegistry/registries/flixtubestagingab1"
    registry_admin_enabled = true
  }
  expect_failures = [var.registry_admin_enabled]
}
