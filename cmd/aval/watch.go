package main

import _ "github.com/charmbracelet/bubbletea"
