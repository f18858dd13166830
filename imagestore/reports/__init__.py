"""Looking into archives and stores: the commands identify, show and summary."""
