"""Repository."""
from tasks.delivery.repository.objects import FolderObjects, ObjectStore, open_store

__all__ = ["FolderObjects", "ObjectStore", "open_store"]
