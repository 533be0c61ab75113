"""Tasks whose learning curves are known or cheap."""
