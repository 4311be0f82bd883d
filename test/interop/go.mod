module penstock-interop

go 1.26
