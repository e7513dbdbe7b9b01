"""One module per subject; each builds an `APIRouter` from the readers that it is given."""
