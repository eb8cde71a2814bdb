package main_test

const childVariable = "AVAL_TEST_CHILD"

func childMain() int { return 1 }
