"""What Kinema knows of OpenMMLab, as pure functions and tables."""
