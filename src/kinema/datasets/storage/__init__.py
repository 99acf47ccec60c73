"""How samples are held: columns in memory, tar files on disk."""
