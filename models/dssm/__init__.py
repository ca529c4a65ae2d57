"""DSSM on click histories of Taobao's users."""
