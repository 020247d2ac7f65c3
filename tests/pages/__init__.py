"""The pages that the steps make, as a person sees them."""
