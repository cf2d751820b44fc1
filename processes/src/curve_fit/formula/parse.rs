//! Reads a formula; what can't be read is told with its place.

use pixelmill_core::parameters::nearest;
use pixelmill_core::process::Failure;

use super::expression::{Constant, Expression, NEGATIVE, Operator};
use super::functions::{Function, NAMES};

/// The longest formula, in characters: what its parts are nested in lies on the stack.
const LONGEST: usize = 1000;
/// How deep parentheses, signs and powers are nested at most.
const DEEPEST: usize = 100;

/// A formula, with the names of its parameters in the order in which they occur.
#[derive(Debug)]
pub struct Parsed {
    /// What was written.
    pub expression: Expression,
    /// Names of parameters.
    pub names: Vec<String>,
}

/// Reads a formula: numbers, names, `+ - * / ^` (also `**`), parentheses, functions, `pi` and `e`.
///
/// # Errors
/// What can't be read, and where.
pub fn parse(text: &str) -> Result<Parsed, Failure> {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() > LONGEST {
        let told = format!("a formula has {} characters, more than {LONGEST}", letters.len());
        return Err(Failure::new(told));
    }
    let mut parser = Parser { text, letters: &letters, at: 0, depth: 0, names: Vec::new() };
    let expression = parser.expression(0)?;
    match parser.peek() {
        None => Ok(Parsed { expression, names: parser.names }),
        Some(')') => Err(parser.wrong("a `)` has no `(` before it")),
        Some(letter) if letter.is_alphanumeric() || letter == '(' => {
            Err(parser.wrong("there is no operator, as `*`, before this"))
        }
        Some(letter) => Err(parser.wrong(&format!("`{letter}` means nothing here"))),
    }
}

struct Parser<'t> {
    text: &'t str,
    letters: &'t [char],
    at: usize,
    depth: usize,
    names: Vec<String>,
}

impl Parser<'_> {
    /// A failure at the next character.
    fn wrong(&self, what: &str) -> Failure {
        self.wrong_at(self.at, what)
    }

    fn wrong_at(&self, at: usize, what: &str) -> Failure {
        let place = match self.letters.get(at..) {
            None | Some([]) => "at its end".to_owned(),
            Some(rest) => {
                let shown: String = rest.iter().take(12).collect();
                let more = if rest.len() > 12 { "…" } else { "" };
                format!("at character {}, before `{shown}{more}`", at + 1)
            }
        };
        Failure::new(format!("the formula `{}` can't be read: {what}, {place}", self.text))
    }

    /// The next character that isn't a space.
    fn peek(&mut self) -> Option<char> {
        while self.letters.get(self.at).is_some_and(|letter| letter.is_whitespace()) {
            self.at += 1;
        }
        self.letters.get(self.at).copied()
    }

    fn takes(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn peek_operator(&mut self) -> Option<(Operator, usize)> {
        let operator = match self.peek()? {
            '+' => Operator::Add,
            '-' => Operator::Subtract,
            '*' if self.letters.get(self.at + 1) == Some(&'*') => {
                return Some((Operator::Power, 2));
            }
            '*' => Operator::Multiply,
            '/' => Operator::Divide,
            '^' => Operator::Power,
            _ => return None,
        };
        Some((operator, 1))
    }

    /// All that binds at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Result<Expression, Failure> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong(&format!("it is nested more than {DEEPEST} deep")));
        }
        let mut left = self.signed()?;
        while let Some((operator, length)) = self.peek_operator() {
            let strength = operator.strength();
            if strength < least {
                break;
            }
            self.at += length;
            // Powers are read from the right, and their exponent may begin with a minus sign.
            let right = if operator == Operator::Power { NEGATIVE } else { strength + 1 };
            let right = self.expression(right)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn signed(&mut self) -> Result<Expression, Failure> {
        if self.takes('-') {
            let inner = self.expression(NEGATIVE)?;
            Ok(Expression::Negative(Box::new(inner)))
        } else if self.takes('+') {
            self.expression(NEGATIVE)
        } else {
            self.atom()
        }
    }

    fn atom(&mut self) -> Result<Expression, Failure> {
        match self.peek() {
            None => Err(self.wrong("a number or a name is missing")),
            Some('(') => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.close()?;
                Ok(inner)
            }
            Some(letter) if letter.is_ascii_digit() || letter == '.' => self.number(),
            Some(letter) if letter.is_alphabetic() || letter == '_' => self.named(),
            Some(letter @ (')' | '*' | '/' | '^')) => {
                let what = format!("a number or a name is missing before `{letter}`");
                Err(self.wrong(&what))
            }
            Some(letter) => Err(self.wrong(&format!("`{letter}` means nothing"))),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        if self.takes(')') {
            return Ok(());
        }
        let what = match self.peek() {
            Some(letter) if letter.is_alphanumeric() || letter == '(' => {
                "there is no operator, as `*`, before this"
            }
            Some(',') => "a function has one argument",
            _ => "a `)` is missing",
        };
        Err(self.wrong(what))
    }

    fn number(&mut self) -> Result<Expression, Failure> {
        let start = self.at;
        let digits = |parser: &mut Self| {
            while parser.letters.get(parser.at).is_some_and(char::is_ascii_digit) {
                parser.at += 1;
            }
        };
        digits(self);
        if self.letters.get(self.at) == Some(&'.') {
            self.at += 1;
            digits(self);
        }
        // What follows an `e` without digits is a name.
        if matches!(self.letters.get(self.at), Some('e' | 'E')) {
            let signed = matches!(self.letters.get(self.at + 1), Some('+' | '-'));
            let first = self.at + 1 + usize::from(signed);
            if self.letters.get(first).is_some_and(char::is_ascii_digit) {
                self.at = first;
                digits(self);
            }
        }
        let written: String = self.letters[start..self.at].iter().collect();
        match written.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Expression::Number(value)),
            Ok(_) => Err(self.wrong_at(start, &format!("`{written}` is too large a number"))),
            Err(_) => Err(self.wrong_at(start, &format!("`{written}` is no number"))),
        }
    }

    fn named(&mut self) -> Result<Expression, Failure> {
        let start = self.at;
        let belongs = |letter: &char| letter.is_alphanumeric() || *letter == '_';
        while self.letters.get(self.at).is_some_and(belongs) {
            self.at += 1;
        }
        let name: String = self.letters[start..self.at].iter().collect();
        let function = Function::of(&name);
        if self.peek() == Some('(') {
            let function = function.ok_or_else(|| self.no_function(start, &name))?;
            self.at += 1;
            let inner = self.expression(0)?;
            self.close()?;
            return Ok(Expression::Call(function, Box::new(inner)));
        }
        if function.is_some() {
            let what = format!("`{name}` is a function, as in {name}(x)");
            return Err(self.wrong_at(start, &what));
        }
        if let Some((constant, _)) = Constant::ALL.iter().find(|(_, known)| *known == name) {
            return Ok(Expression::Constant(*constant));
        }
        if name == "x" {
            return Ok(Expression::Place);
        }
        let known = self.names.iter().position(|known| *known == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        Ok(Expression::Parameter(number))
    }

    fn no_function(&self, start: usize, name: &str) -> Failure {
        let known = || NAMES.iter().map(|(name, _)| *name);
        let what = match nearest(name, known()) {
            Some(near) => format!("there is no function `{name}`; did you mean `{near}`?"),
            None => {
                let known: Vec<&str> = known().collect();
                format!("there is no function `{name}`; there are: {}", known.join(" "))
            }
        };
        self.wrong_at(start, &what)
    }
}
