"""Where prices come from: HTTP sources, the paths into their JSON, and the catalogue of venues."""
