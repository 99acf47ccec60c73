"""What Kinema knows of OpenMMLab, as pure functions and tables: names, addresses, configs, keywords."""
