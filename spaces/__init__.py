"""What can be searched: the YAML files beside this one, and the code that reads them."""
