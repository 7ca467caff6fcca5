variable "app_name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "flixtube"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,7}$", var.app_name))
    error_message = "app_name must be 3 to 8 lower-case letters and digits and begin with a letter."
  }
}

variable "environment" {
  description = "Which of several deployments this is: staging, production."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{1,10}$", var.environment))
    error_message = "environment must be 1 to 10 lower-case letters, such as staging or production."
  }
}

variable "unique_suffix" {
  description = "Ends the names of the registry and of the storage account, which must be unique in all of Azure."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{3,6}$", var.unique_suffix))
    error_message = "unique_suffix must be 3 to 6 lower-case letters and digits."
  }
}

variable "location" {
  description = "The Azure region, as in the column Name of: az account list-locations --output table"
  type        = string

  validation {
    condition     = can(regex("^[a-z]+[0-9]?$", var.location))
    error_message = "location must be the short name of a region, such as westeurope."
  }
}

variable "tags" {
  description = "Tags for every resource, besides application, environment and managed-by."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name, value in var.tags : can(regex("^[^<>%&\\\\?/]{1,128}$", name)) && length(value) <= 256
    ])
    error_message = "A tag's name must be 1 to 128 characters without < > % & \\ ? /, and its value at most 256 characters."
  }
  validation {
    condition     = length(setintersection(keys(var.tags), ["application", "environment", "managed-by"])) == 0
    error_message = "tags must not contain application, environment or managed-by, which are set already."
  }
}

# --- registry

variable "registry_id" {
  description = "The id of a registry that another environment has made (its output registry_id). Null makes one."
  type        = string
  default     = null

  validation {
    condition = var.registry_id == null || can(regex(
      "^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.ContainerRegistry/registries/[A-Za-z0-9]{5,50}$",
      var.registry_id
    ))
    error_message = "registry_id must be the id of a container registry: /subscriptions/…/resourceGroups/…/providers/Microsoft.ContainerRegistry/registries/…"
  }
}

variable "registry_sku" {
  description = "The tier of the registry, which decides about its price, size and throughput."
  type        = string
  default     = "Basic"

  validation {
    condition     = contains(["Basic", "Standard", "Premium"], var.registry_sku)
    error_message = "registry_sku must be Basic, Standard or Premium."
  }
}

variable "registry_admin_enabled" {
  description = "Gives the registry a user with a password, for tools that know nothing else. The cluster does not need it."
  type        = bool
  default     = false

  validation {
    condition     = !var.registry_admin_enabled || var.registry_id == null
    error_message = "registry_admin_enabled belongs to the environment that makes the registry; this one uses another's."
  }
}

# --- cluster

variable "kubernetes_version" {
  description = "The minor version that a new cluster begins with, such as 1.33. Null takes the one that Azure recommends."
  type        = string
  default     = null

  validation {
    condition     = var.kubernetes_version == null || can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "kubernetes_version must be a minor version, such as 1.33: automatic upgrades choose the patch."
  }
}

variable "upgrade_channel" {
  description = "How far the cluster upgrades itself, in its maintenance window."
  type        = string
  default     = "patch"

  validation {
    condition     = contains(["patch", "stable", "rapid"], var.upgrade_channel)
    error_message = "upgrade_channel must be patch, stable or rapid; a cluster that is never upgraded is not offered."
  }
}

variable "cluster_tier" {
  description = "Free, or Standard and Premium, whose control plane has an SLA and a price."
  type        = string
  default     = "Free"

  validation {
    condition     = contains(["Free", "Standard", "Premium"], var.cluster_tier)
    error_message = "cluster_tier must be Free, Standard or Premium."
  }
}

variable "authorized_ip_ranges" {
  description = "From where the API server of the cluster may be reached: the addresses of operators and of the machine that deploys."
  type        = set(string)

  validation {
    condition = length(var.authorized_ip_ranges) > 0 && alltrue([
      for cidr in var.authorized_ip_ranges : can(regex("^[0-9.]+/[0-9]+$", cidr)) && can(cidrnetmask(cidr))
    ])
    error_message = "authorized_ip_ranges must name at least one IPv4 range, such as 203.0.113.7/32."
  }
  validation {
    # A sum of small ranges can be everything, too, but not by mistake.
    condition     = alltrue([for cidr in var.authorized_ip_ranges : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "authorized_ip_ranges must not contain a range wider than /8: the API server is not for everybody."
  }
}

variable "admin_group_object_ids" {
  description = "The object ids of the Microsoft Entra groups that administer the cluster: there are no local accounts."
  type        = set(string)

  validation {
    condition = length(var.admin_group_object_ids) > 0 && alltrue([
      for id in var.admin_group_object_ids : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", lower(id)))
    ])
    error_message = "admin_group_object_ids must name at least one group by its object id, a UUID; without one nobody could get in."
  }
}

variable "system_node_size" {
  description = "The size of the machines that run what belongs to Kubernetes."
  type        = string
  default     = "Standard_D2s_v5"

  validation {
    condition     = can(regex("^Standard_[A-Za-z0-9_]+$", var.system_node_size))
    error_message = "system_node_size must be the name of a machine size, such as Standard_D2s_v5."
  }
}

variable "user_node_size" {
  description = "The size of the machines that run FlixTube."
  type        = string
  default     = "Standard_D4s_v5"

  validation {
    condition     = can(regex("^Standard_[A-Za-z0-9_]+$", var.user_node_size))
    error_message = "user_node_size must be the name of a machine size, such as Standard_D4s_v5."
  }
}

variable "user_node_count" {
  description = "Between how many machines the pool that runs FlixTube scales."
  type        = object({ min = number, max = number })
  default     = { min = 3, max = 6 }

  validation {
    condition     = floor(var.user_node_count.min) == var.user_node_count.min && floor(var.user_node_count.max) == var.user_node_count.max
    error_message = "user_node_count must be whole numbers."
  }
  validation {
    condition     = var.user_node_count.min >= 1 && var.user_node_count.max <= 1000 && var.user_node_count.min <= var.user_node_count.max
    error_message = "user_node_count must have 1 <= min <= max <= 1000."
  }
}

variable "zones" {
  description = "The availability zones of the machines; an empty set in a region that has none."
  type        = set(string)
  default     = ["1", "2", "3"]

  validation {
    condition     = length(setsubtract(var.zones, ["1", "2", "3"])) == 0
    error_message = "zones must be some of 1, 2 and 3."
  }
}

variable "network_range" {
  description = "The addresses of the virtual network; the machines of the cluster get all of them. The pods' addresses, 10.244.0.0/16, are not among them."
  type        = string
  default     = "10.240.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.network_range)) && try(tonumber(split("/", var.network_range)[1]) <= 24, false)
    error_message = "network_range must be an IPv4 range of at least 256 addresses, such as 10.240.0.0/16."
  }

  # Two ranges overlap if the wider one holds the first address of the other.
  validation {
    condition = try(
      cidrhost("${split("/", var.network_range)[0]}/${min(16, split("/", var.network_range)[1])}", 0) !=
      cidrhost("10.244.0.0/${min(16, split("/", var.network_range)[1])}", 0),
    true) # no range at all is the error above
    error_message = "network_range must not overlap the pods' addresses, 10.244.0.0/16."
  }
}

# --- videos

variable "storage_replication" {
  description = "How many copies of the videos Azure keeps, and where."
  type        = string
  default     = "ZRS"

  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "GZRS"], var.storage_replication)
    error_message = "storage_replication must be LRS, ZRS, GRS or GZRS; nothing reads from a second region."
  }
}

variable "deleted_videos_days" {
  description = "For how many days a deleted video can be restored."
  type        = number
  default     = 14

  validation {
    condition     = var.deleted_videos_days >= 1 && var.deleted_videos_days <= 365 && floor(var.deleted_videos_days) == var.deleted_videos_days
    error_message = "deleted_videos_days must be 1 to 365 whole days."
  }
}

# --- logs

variable "logs" {
  description = "Keeps the logs of the containers in a Log Analytics workspace: for how many days, and how many GB a day at most. Null keeps none."
  type        = object({ retention_days = number, daily_quota_gb = number })
  default     = null

  validation {
    condition     = var.logs == null || try(var.logs.retention_days >= 30 && var.logs.retention_days <= 730, false)
    error_message = "logs.retention_days must be 30 to 730."
  }
  validation {
    condition     = var.logs == null || try(var.logs.daily_quota_gb > 0, false)
    error_message = "logs.daily_quota_gb must be above 0: a service that logs in a loop must not cost without end."
  }
}

# --- delivery

variable "github_repository" {
  description = "The repository, as owner/name, whose workflow delivers to this environment. Null makes no identities for it."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be owner/name."
  }
}
