"""Small pieces of behaviour that only OpenMMLab's names need; the files of the four package trees re-export them."""
