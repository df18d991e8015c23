// SPDX-License-Identifier: Apache-2.0
// completion bash, zsh: words and options from the same tables that the commands are read with.
#include <stdio.h>

#include "cli/command.h"

// What `main` knows besides.
static const char OTHER_COMMANDS[] = "serve user backup restore check compact key tls settings answers version help";
static const char OTHER_CASES[] = "    'user ') words='passwd' ;;\n"
                                  "    'user passwd') words=' --data --password-stdin --help' ;;\n"
                                  "    'backup '*) words=' --data --help' ;;\n"
                                  "    'restore '*) words=' --data --keys --force --without-key --help' ;;\n"
                                  "    'check '*) words=' --data --catalogue --help' ;;\n"
                                  "    'compact '*) words=' --data --incremental --help' ;;\n"
                                  "    'key ') words='rotate' ;;\n"
                                  "    'key rotate') words=' --data --help' ;;\n"
                                  "    'tls ') words='init' ;;\n"
                                  "    'tls init') words=' --host --dir --port --days --help' ;;\n";

static bool first_of_noun(const struct cli_command *const *table, const struct cli_command *command) {
  for (const struct cli_command *const *t = cli_tables; *t; t++)
    for (const struct cli_command *c = *t; c->noun; c++) {
      if (t == table && c == command)
        return true;
      if (str_eq_c(str_of(c->noun), command->noun))
        return false;
    }
  return true;
}

static void put_options(const struct cli_command *command) {
  for (const struct cli_option *option = command->options; option && option->name; option++)
    printf(" --%s", option->name);
  printf(" --json --help");
}

static void put_nouns(void) {
  printf("%s", OTHER_COMMANDS);
  for (const struct cli_command *const *table = cli_tables; *table; table++)
    for (const struct cli_command *command = *table; command->noun; command++)
      if (first_of_noun(table, command))
        printf(" %s", command->noun);
}

static void put_verbs(const char *noun) {
  const char *blank = "";
  for (const struct cli_command *const *table = cli_tables; *table; table++)
    for (const struct cli_command *command = *table; command->noun; command++)
      if (command->verb && str_eq_c(str_of(noun), command->noun)) {
        printf("%s%s", blank, command->verb);
        blank = " ";
      }
}

// Lines of a shell `case`, the same in bash and zsh: the words that may follow.
static void put_cases(void) {
  printf("%s", OTHER_CASES);
  for (const struct cli_command *const *table = cli_tables; *table; table++)
    for (const struct cli_command *command = *table; command->noun; command++) {
      if (command->verb && first_of_noun(table, command)) {
        printf("    '%s ') words='", command->noun);
        put_verbs(command->noun);
        printf("' ;;\n");
      }
      printf("    '%s %s'%s) words='", command->noun, command->verb ? command->verb : "", command->verb ? "" : "*");
      put_options(command);
      printf("' ;;\n");
    }
}

static int run_bash(struct cli *cli, struct error *err) {
  (void)cli;
  (void)err;
  printf("# bash completion of harbinger: source <(harbinger completion bash)\n"
         "_harbinger() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} noun=${COMP_WORDS[1]-} verb=${COMP_WORDS[2]-} words=\n"
         "  if [ \"$COMP_CWORD\" -le 1 ]; then\n"
         "    words='");
  put_nouns();
  printf("'\n"
         "  else\n"
         "    if [ \"$COMP_CWORD\" -le 2 ]; then verb=; fi\n"
         "    case \"$noun $verb\" in\n");
  put_cases();
  printf("    esac\n"
         "  fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "}\n"
         "complete -o default -F _harbinger harbinger\n");
  return 0;
}

static int run_zsh(struct cli *cli, struct error *err) {
  (void)cli;
  (void)err;
  printf("#compdef harbinger\n"
         "# zsh completion of harbinger: harbinger completion zsh > \"${fpath[1]}/_harbinger\"\n"
         "_harbinger() {\n"
         "  local noun=${words[2]-} verb=${words[3]-}\n"
         "  local -a choices\n"
         "  if (( CURRENT <= 2 )); then\n"
         "    choices=(");
  put_nouns();
  printf(")\n"
         "    compadd -- $choices\n"
         "    return\n"
         "  fi\n"
         "  (( CURRENT <= 3 )) && verb=\n"
         "  () {\n"
         "    local words=\n"
         "    case \"$noun $verb\" in\n");
  put_cases();
  printf("    esac\n"
         "    choices=(${=words})\n"
         "  }\n"
         "  compadd -- $choices || _files\n"
         "}\n"
         "if [ \"${funcstack[1]-}\" = _harbinger ]; then _harbinger \"$@\"; else compdef _harbinger harbinger; fi\n");
  return 0;
}

const struct cli_command cli_completion_commands[] = {
    {.noun = "completion",
     .verb = "bash",
     .summary = "print the completion of bash",
     .examples = "source <(harbinger completion bash)\n",
     .run = run_bash},
    {.noun = "completion",
     .verb = "zsh",
     .summary = "print the completion of zsh",
     .examples = "harbinger completion zsh > \"${fpath[1]}/_harbinger\"\n",
     .run = run_zsh},
    {0},
};
