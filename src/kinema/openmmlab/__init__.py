"""What Kinema knows of OpenMMLab: names, addresses, configs and keywords, as functions and tables."""
