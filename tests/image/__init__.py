"""The image without Docker: `make image` carries out its Dockerfile and runs compose.yaml's services."""
