"""Where images come from: published files, folders of one's own, and the packed file that every job reads."""
