module turntable

go 1.24
