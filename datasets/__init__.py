"""Sound into labelled arrays: music, rooms, scenes, rendering and the shards that hold the result."""
