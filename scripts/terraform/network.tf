resource "azurerm_virtual_network" "flixtube" {
  name                = local.full_name
  location            = azurerm_resource_group.flixtube.location
  resource_group_name = azurerm_resource_group.flixtube.name
  address_space       = [var.network_range]
  tags                = local.tags
}

# Pods have addresses of their own (overlay); only machines and load balancers take theirs from here.
resource "azurerm_subnet" "nodes" {
  name                 = "nodes"
  resource_group_name  = azurerm_resource_group.flixtube.name
  virtual_network_name = azurerm_virtual_network.flixtube.name
  address_prefixes     = [var.network_range]

  # The account of the videos answers this subnet alone.
  service_endpoint {
    service = "Microsoft.Storage"
  }
}
