"""The images, and what is said and checked of them."""
