"""How well the image and the caption of a pair agree. Higher = likelier to correspond, unless said otherwise."""
