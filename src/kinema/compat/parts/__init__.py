"""Small pieces of behaviour that only OpenMMLab's names need; `names.txt` refers to them."""
