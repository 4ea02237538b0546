"""Published claims about optimizers' paths, each as an experiment that a small computer can run."""
