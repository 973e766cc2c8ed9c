"""The folder that everything is stored in: who may enter it, and what kind of disk it lies on."""
