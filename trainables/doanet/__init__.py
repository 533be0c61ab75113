"""DOAnet, which estimates directions of a few moving sources and is trained with differentiable tracking losses."""
