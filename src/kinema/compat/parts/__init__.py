"""Small pieces of behaviour that only OpenMMLab's names need; the table `names.txt` refers to them."""
