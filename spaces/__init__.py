"""Search spaces: the YAML files of this folder, and the code that reads them."""
