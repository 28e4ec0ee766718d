"""The ipywidgets explorers: `shell`, and those of the toy problems (`toy`) and of MNIST
(`mnist`)."""
