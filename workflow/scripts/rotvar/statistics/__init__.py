"""What is computed of activations: moments that grow image by image, and the measures that follow from them."""
