# Completion of the runnel command for bash: commands, options, source files, names of tests and benchmarks.

_runnel() {
  local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]:-} root words='' i
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W 'run test bench tour version help --help' -- "$current")
    return
  fi
  root=$(readlink -f -- "$(type -P -- "${COMP_WORDS[0]}" 2>/dev/null)") root=${root%/*}
  case $command in
    run)
      for ((i = 2; i < COMP_CWORD; ++i)); do
        if [[ ${COMP_WORDS[i]} != -* ]]; then  # arguments of the program
          mapfile -t COMPREPLY < <(compgen -f -- "$current")
          return
        fi
      done
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-race -asan --help' -- "$current")
      else
        # grep, not compgen -X: whether that knows alternatives depends on the shell's extglob.
        mapfile -t COMPREPLY < <(compgen -f -- "$current" | grep -E '\.(cpp|cc|cxx|C)$'; compgen -d -S / -- "$current")
        compopt -o nospace 2>/dev/null
      fi
      ;;
    test)
      words='-race -asan --help chaos/ headers/ snippets/ package/ style/'
      for i in "$root"/tests/{unit,runtime,programs,stress}/*.cpp; do
        [[ -f $i ]] && i=${i##*/} && words+=" ${i%.cpp}"
      done
      mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
      ;;
    bench)
      words='--help'
      for i in "$root"/bench/*_bench.cpp; do
        [[ -f $i ]] && i=${i##*/} && words+=" ${i%_bench.cpp}"
      done
      mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
      ;;
    help) mapfile -t COMPREPLY < <(compgen -W 'run test bench tour' -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -W '--help' -- "$current") ;;
  esac
}

complete -F _runnel runnel ./runnel
