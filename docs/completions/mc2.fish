# fish completion for mc2: asks mc2 itself, so it offers what the installed version has.
function __mc2_complete
    set -l answers (env _MC2_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) mc2 2> /dev/null)
    for answer in $answers
        set -l parts (string split --max 1 "," -- $answer)
        switch $parts[1]
            case plain
                echo $parts[2]
            case file
                __fish_complete_path $parts[2]
            case dir
                __fish_complete_directories $parts[2]
        end
    end
end
complete --no-files --command mc2 --arguments "(__mc2_complete)"
