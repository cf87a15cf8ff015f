"""Categories are data: a folder of YAML files becomes a `Taxonomy`, and a taxonomy becomes answer models."""
