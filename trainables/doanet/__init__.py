"""DOAnet: directions of up to a few moving sources, trained with differentiable tracking losses."""
