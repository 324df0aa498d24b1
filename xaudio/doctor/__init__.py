"""What makes an attribution silently wrong, found before it is computed (`checks`) and after it (`measures`)."""
